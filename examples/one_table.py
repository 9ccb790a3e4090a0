"""One table: LangChain writes, LlamaIndex reads and writes, plain Python sees it all."""

import asyncio

from langchain_core.documents import Document
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from pgrecall import AsyncClient
from pgrecall.cli.demo.lexical import LexicalEmbeddings
from pgrecall.langchain import PGRecallVectorStore as LangChainStore
from pgrecall.llama_index import PGRecallVectorStore as LlamaIndexStore

model = LexicalEmbeddings()  # put your model here; both frameworks must embed with the same one


class Same(BaseEmbedding):
    """The same model, for LlamaIndex."""

    def _get_text_embedding(self, text):
        return model.embed_query(text)

    def _get_query_embedding(self, query):
        return model.embed_query(query)

    async def _aget_query_embedding(self, query):
        return model.embed_query(query)


async def main():
    async with AsyncClient() as client:
        await client.collection("example_shared").clear()
        langchain = LangChainStore(model, "example_shared", client=client)
        await langchain.aadd_documents(
            [
                Document("Vacuum frees the space of dead rows.", id="v1", metadata={"topic": "vacuum"}),
                Document("Row locks are held until the transaction ends.", id="l1", metadata={"topic": "locks"}),
            ]
        )

        llama_index = LlamaIndexStore("example_shared", client=client)
        index = VectorStoreIndex.from_vector_store(llama_index, embed_model=Same())
        await index.ainsert_nodes(
            [TextNode(id_="v2", text="Autovacuum wakes up by itself.", metadata={"topic": "vacuum"})]
        )
        about = MetadataFilters(filters=[MetadataFilter(key="topic", value="vacuum")])
        for hit in await index.as_retriever(similarity_top_k=5, filters=about).aretrieve("What frees dead rows?"):
            print(f"LlamaIndex found  {hit.score:.2f}  {hit.node.node_id}  {hit.node.text}")

        for document in await langchain.asimilarity_search("What wakes up?", k=2, filter={"topic": "vacuum"}):
            print(f"LangChain found   {document.id}  {document.page_content}")

        docs = client.collection("example_shared")
        print("the engine counts", await docs.count(), "records,", await docs.count({"topic": "locks"}), "about locks")
        for match in await docs.search(model.embed_query("until when are locks held?"), k=1):
            print(f"the engine found  {match.score:.2f}  {match.id}  {match.content}")


asyncio.run(main())
