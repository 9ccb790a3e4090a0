"""FastAPI: one service and one pool for many tenants, whom PostgreSQL itself keeps apart by row-level security."""

import asyncio
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel, Field

from pgrecall import AsyncClient, AsyncCollection, CollectionConfig, PoolConfig, Record
from pgrecall.cli.demo.lexical import DIMENSIONS, LexicalEmbeddings

ROLE = "pgrecall_example_service"
NOTES = CollectionConfig(name="example_notes", dimensions=DIMENSIONS, row_level_security=True)
TENANTS = {"token-of-red": "red", "token-of-blue": "blue"}  # put your identity provider here
model = LexicalEmbeddings()  # put your embedding model here


async def deploy():
    """Make the table, its policies and the role; once for each release, as the owner."""
    async with AsyncClient() as owner:
        notes = await owner.get_or_create_collection(NOTES)
        await notes.grant(ROLE, create=True)


@asynccontextmanager
async def lifespan(app):
    # Better than to change to the role: log in as a role that has no more rights than this one.
    async with AsyncClient(pool=PoolConfig(max_size=8, server_settings={"role": ROLE})) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


def notes_of_caller(request: Request, authorization: Annotated[str, Header()] = "") -> AsyncCollection:
    """Return the caller's own notes: the tenant comes from the token, never from what the caller asks for."""
    tenant = TENANTS.get(authorization.removeprefix("Bearer "))
    if tenant is None:
        raise HTTPException(401, "unknown token")
    return request.app.state.client.collection(NOTES, domain=tenant)


Notes = Annotated[AsyncCollection, Depends(notes_of_caller)]


class Note(BaseModel):
    text: str = Field(min_length=1)


@app.put("/notes/{note_id}")
async def put(note_id: str, note: Note, notes: Notes):
    embedding = await model.aembed_query(note.text)
    result = await notes.upsert([Record(id=note_id, embedding=embedding, content=note.text)])
    return {"new": result.inserted == 1}


@app.get("/search")
async def search(q: str, notes: Notes, k: Annotated[int, Field(ge=1, le=50)] = 3):
    matches = await notes.search(await model.aembed_query(q), k)
    return [{"id": match.id, "text": match.content, "score": round(match.score, 2)} for match in matches]


async def main():
    await deploy()
    transport = httpx.ASGITransport(app)  # in the place of `uvicorn fastapi_tenants:app` and a browser
    async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        red, blue = ({"authorization": f"Bearer {token}"} for token in TENANTS)
        await http.put("/notes/plan", json={"text": "Red's plan is to open in Oslo."}, headers=red)
        await http.put("/notes/plan", json={"text": "Blue's plan is to close in Rome."}, headers=blue)
        for who in (red, blue, {}):
            answer = await http.get("/search", params={"q": "What is the plan?"}, headers=who)
            print(answer.status_code, answer.json())


if __name__ == "__main__":
    asyncio.run(main())
