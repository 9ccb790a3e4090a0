"""LlamaIndex: an index over PostgreSQL, updated and asked with filters."""

from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from pgrecall.llama_index import PGRecallVectorStore

model = MockEmbedding(embed_dim=64)  # put your own model here
store = PGRecallVectorStore("example_articles")
store.clear()
index = VectorStoreIndex.from_documents(
    [Document(id_=f"article-{n}", text=f"Article {n} is about subject {n % 3}.", metadata={"n": n}) for n in range(6)],
    storage_context=StorageContext.from_defaults(vector_store=store),
    embed_model=model,
)
filters = MetadataFilters(filters=[MetadataFilter(key="n", value=4)])
for hit in index.as_retriever(similarity_top_k=3, filters=filters).retrieve("subject one"):
    print(f"{hit.score:.2f}  {hit.node.ref_doc_id}  {hit.node.text}")

index.delete_ref_doc("article-4")
print(len(store.get_nodes()), "nodes are left")
store.close()
