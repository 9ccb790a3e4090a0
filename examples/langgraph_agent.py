"""LangGraph: an agent that decides to look something up, with a retriever over PostgreSQL as its tool."""

import asyncio

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import create_retriever_tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from pgrecall.cli.demo.lexical import LexicalEmbeddings
from pgrecall.langchain import PGRecallVectorStore

PAGES = {
    "vacuum": "VACUUM frees the space that dead rows take up.",
    "locks": "Row level locks are held until the transaction ends.",
    "analyze": "ANALYZE collects statistics for the planner.",
}


def decide(messages):
    """Stand in for a chat model with tools: look up what is asked, then say what was found."""
    last = messages[-1]
    if isinstance(last, ToolMessage):
        return AIMessage(f"The manual says: {last.content}")
    return AIMessage("", tool_calls=[{"name": "manual", "args": {"query": last.content}, "id": f"call {last.id}"}])


async def main():
    # Both ways of asking LangGraph work: `invoke` from plain code, and `ainvoke`, in which nothing blocks the loop.
    async with PGRecallVectorStore(LexicalEmbeddings(), "example_manual") as store:  # put your embedding model here
        await store.aadd_documents([Document(text, id=name) for name, text in PAGES.items()])
        tool = create_retriever_tool(store.as_retriever(search_kwargs={"k": 1}), "manual", "Searches the manual.")
        model = RunnableLambda(decide)  # put your chat model here: init_chat_model("…").bind_tools([tool])

        async def agent(state: MessagesState):
            return {"messages": [await model.ainvoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("agent", agent)
        graph.add_node("tools", ToolNode([tool]))
        graph.add_edge(START, "agent")
        graph.add_conditional_edges("agent", tools_condition, {"tools": "tools", END: END})
        graph.add_edge("tools", "agent")

        questions = ["How long are row locks held?", "Who collects statistics?"]
        compiled = graph.compile()
        states = await asyncio.gather(*(compiled.ainvoke({"messages": [HumanMessage(asked)]}) for asked in questions))
        for state in states:
            for message in state["messages"]:
                print(f"{message.type:5}  {message.content or message.tool_calls[0]['args']}")


asyncio.run(main())
