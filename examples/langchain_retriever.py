"""LangChain: documents in, a retriever out, scoped to a tenant and filtered by metadata."""

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import RunnableLambda

from pgrecall.langchain import PGRecallVectorStore

model = DeterministicFakeEmbedding(size=256)  # put your own model here
documents = [
    Document("VACUUM frees the space of dead rows.", id="1", metadata={"chapter": "maintenance"}),
    Document("ANALYZE collects statistics for the planner.", id="2", metadata={"chapter": "maintenance"}),
    Document("A GIN index serves containment of JSON documents.", id="3", metadata={"chapter": "indexes"}),
]
store = PGRecallVectorStore.from_documents(documents, model, collection="example_manual", domain="acme")

retriever = store.as_retriever(search_kwargs={"k": 2, "filter": {"chapter": "maintenance"}})
chain = retriever | RunnableLambda(lambda found: "\n".join(document.page_content for document in found))
print(chain.invoke("how does the planner know how many rows there are?"))

for document, relevance in store.similarity_search_with_relevance_scores("VACUUM frees the space of dead rows.", k=3):
    print(f"{relevance:.2f}  {document.page_content}")

store.add_documents([Document("VACUUM FULL rewrites the table.", id="1")])  # the same id: replaced
print(store.get_by_ids(["1"])[0].page_content)
store.close()
