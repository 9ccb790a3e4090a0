"""LlamaIndex: an index over PostgreSQL, a query engine that asks a model about it, and documents that change."""

from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilter, MetadataFilters

from pgrecall.cli.demo.lexical import LexicalEmbeddings
from pgrecall.llama_index import PGRecallVectorStore


class Lexical(BaseEmbedding):
    """Stands in for an embedding model, so that this runs offline: it knows spelling, not meaning."""

    def _get_text_embedding(self, text):
        return LexicalEmbeddings().embed_query(text)

    def _get_query_embedding(self, query):
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


embed_model = Lexical()  # put your embedding model here
llm = MockLLM()  # put your model here; this one answers with the prompt that it gets

ARTICLES = {
    "vacuum": ("VACUUM frees the space that dead rows take up, so that new rows can use it.", 2023),
    "analyze": ("ANALYZE collects statistics about the contents of tables for the planner.", 2024),
    "locks": ("Row level locks are held until the transaction that took them ends.", 2021),
    "gin": ("A GIN index serves questions about what a JSON document contains.", 2022),
}
store = PGRecallVectorStore("example_articles")
store.clear()  # so that it can be run again
index = VectorStoreIndex.from_documents(
    [Document(id_=name, text=text, metadata={"year": year}) for name, (text, year) in ARTICLES.items()],
    storage_context=StorageContext.from_defaults(vector_store=store),
    embed_model=embed_model,
)

engine = index.as_query_engine(llm, similarity_top_k=1)
answer = engine.query("How long are row locks held?")
print(answer)
print("sources:", [hit.node.ref_doc_id for hit in answer.source_nodes])

recent = MetadataFilters(filters=[MetadataFilter(key="year", value=2022, operator=FilterOperator.GTE)])
for hit in index.as_retriever(similarity_top_k=2, filters=recent).retrieve("statistics about rows"):
    print(f"{hit.score:.2f}  {hit.node.ref_doc_id}  {hit.node.text}")

index.update_ref_doc(Document(id_="vacuum", text="VACUUM FULL rewrites the whole table.", metadata={"year": 2025}))
index.delete_ref_doc("gin")
nodes = store.get_nodes()
print(len(nodes), "nodes are left; the newest is", max(nodes, key=lambda node: node.metadata["year"]).text)
store.close()
