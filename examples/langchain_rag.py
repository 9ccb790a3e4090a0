"""LangChain: ask a chat model about documents, with what was found for the question in its prompt."""

import heapq
import inspect
import itertools
import queue

from langchain_core.documents import Document
from langchain_core.language_models import SimpleChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from pgrecall.cli.demo.lexical import LexicalEmbeddings
from pgrecall.langchain import PGRecallVectorStore


class Quoting(SimpleChatModel):
    """Stands in for a chat model, so that this runs offline: its answer is the first passage of its prompt."""

    @property
    def _llm_type(self):
        return "quoting"

    def _call(self, messages, *_, **__):
        return messages[-1].content.partition("\n\n")[2].partition("\n\n")[0]


embeddings = LexicalEmbeddings()  # put your embedding model here; this one knows spelling, not meaning
model = Quoting()  # put your chat model here

# Real texts that are on every machine: what the standard library says about itself.
documents = [
    Document(inspect.getdoc(thing), id=name, metadata={"source": module.__name__, "name": name})
    for module in (heapq, itertools, queue)
    for name, thing in sorted(vars(module).items())
    if not name.startswith("_") and callable(thing) and inspect.getdoc(thing)
]
store = PGRecallVectorStore.from_documents(documents, embeddings, collection="example_library")

prompt = ChatPromptTemplate.from_template("Answer {question} from these passages:\n\n{passages}")
retriever = store.as_retriever(search_kwargs={"k": 3})
passages = retriever | (lambda found: "\n\n".join(document.page_content.partition("\n\n")[0] for document in found))
chain = {"passages": passages, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
for question in ("What merges sorted inputs into one?", "Which queue retrieves entries in priority order?"):
    print(f"{question}\n  {chain.invoke(question)}")

# The same question, asked of one module only, with how near the answers are.
for document, relevance in store.similarity_search_with_relevance_scores(
    "merges sorted inputs", k=3, filter={"source": "itertools"}
):
    print(f"{relevance:.2f}  {document.metadata['name']}")

store.add_documents([Document("Rewritten.", id="merge", metadata={"source": "heapq"})])  # the same id: replaced
print(store.get_by_ids(["merge"])[0].page_content, "-", store.count(), "documents")
store.close()
