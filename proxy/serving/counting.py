"""Count prompts: short ones at once, long ones in the tokenizer's threads."""

from proxy.metering.prompt import Prompt
from proxy.serving.fair import LongWork


async def bound_prompt(work: LongWork, wallet_id: int, prompt: Prompt) -> int:
    """Return a number of tokens that a prompt can't exceed."""
    if prompt.is_short:
        return prompt.bound()
    return await work.count(wallet_id, prompt.bound)


async def count_prompt(work: LongWork, wallet_id: int, prompt: Prompt) -> int:
    """Count a prompt by the published rules."""
    if prompt.is_short:
        return prompt.count()
    return await work.count(wallet_id, prompt.count)
