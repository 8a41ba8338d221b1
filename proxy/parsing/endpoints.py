"""The names of the endpoints that call a model, from which staff choose what a route serves."""

# Marks what the documentation's pages translate; nothing here knows Django.
_ = str

ENDPOINTS = ("chat.completions", "completions", "embeddings", "responses")

# Paths below /v1 that other services have and we do not, and what they are for. A path that goes
# on below one belongs to it.
OUT_OF_SCOPE = {
    "messages": _("Anthropic's Messages API"),
    "complete": _("Anthropic's Text Completions API"),
    "images": _("Making and editing images"),
    "videos": _("Making videos"),
    "audio": _("Speech and transcription"),
    "moderations": _("Moderation as an endpoint of its own"),
    "files": _("Storing files"),
    "uploads": _("Storing files"),
    "batches": _("Batches of requests"),
    "chat/completions": _("Reading stored chat completions"),
    "responses": _("Reading stored responses, compacting and cancelling them"),
    "conversations": _("Storing conversations"),
    "vector_stores": _("Storing and searching files"),
    "assistants": _("The Assistants API"),
    "threads": _("The Assistants API"),
    "containers": _("Containers for code"),
    "skills": _("Stored skills"),
    "fine_tuning": _("Fine-tuning"),
    "fine-tunes": _("Fine-tuning"),
    "evals": _("Evaluations"),
    "graders": _("Evaluations"),
    "realtime": _("The Realtime API"),
    "chatkit": _("ChatKit"),
    "organization": _("The administration of an organization"),
    "projects": _("The administration of an organization"),
    "rerank": _("Ranking documents"),
    "edits": _("Edits, which OpenAI has withdrawn"),
    "engines": _("Engines, which OpenAI has withdrawn"),
}


def endpoint_of(path: str) -> str:
    """Return the endpoint of a path: chat.completions for /chat/completions."""
    return path.strip("/").replace("/", ".")
