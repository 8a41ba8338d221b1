"""The names of the endpoints that call a model, from which staff choose what a route serves."""

ENDPOINTS = ("chat.completions", "completions", "embeddings", "responses")

# Paths below /v1 that other services have and we do not, and what they are for. A path that goes
# on below one belongs to it.
OUT_OF_SCOPE = {
    "messages": "Anthropic's Messages API",
    "complete": "Anthropic's Text Completions API",
    "images": "Making and editing images",
    "videos": "Making videos",
    "audio": "Speech and transcription",
    "moderations": "Moderation as an endpoint of its own",
    "files": "Storing files",
    "uploads": "Storing files",
    "batches": "Batches of requests",
    "chat/completions": "Reading stored chat completions",
    "responses": "Reading stored responses, compacting and cancelling them",
    "conversations": "Storing conversations",
    "vector_stores": "Storing and searching files",
    "assistants": "The Assistants API",
    "threads": "The Assistants API",
    "containers": "Containers for code",
    "skills": "Stored skills",
    "fine_tuning": "Fine-tuning",
    "fine-tunes": "Fine-tuning",
    "evals": "Evaluations",
    "graders": "Evaluations",
    "realtime": "The Realtime API",
    "chatkit": "ChatKit",
    "organization": "The administration of an organization",
    "projects": "The administration of an organization",
    "rerank": "Ranking documents",
    "edits": "Edits, which OpenAI has withdrawn",
    "engines": "Engines, which OpenAI has withdrawn",
}


def endpoint_of(path: str) -> str:
    """Return the endpoint of a path: chat.completions for /chat/completions."""
    return path.strip("/").replace("/", ".")
