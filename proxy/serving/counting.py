"""Count prompts: short ones at once, long ones in the tokenizer's threads.

A thread costs 0.1 ms and more where the event loop is busy, so it gets only what takes longer.
"""

from proxy.metering import bounds
from proxy.metering.bounds import Reader
from proxy.metering.prompt import Prompt
from proxy.serving.fair import LongWork


async def bound_prompt(work: LongWork, wallet_id: int, prompt: Prompt, reader: Reader) -> int:
    """Return a number of tokens that a prompt can't exceed. Raises ContextUnknown."""
    count = work.counts.of(wallet_id)
    if prompt.is_short or bounds.is_quickly_bound(prompt, reader):
        return bounds.bound_prompt(prompt, reader, count)
    return await work.count(wallet_id, bounds.bound_prompt, prompt, reader, count)


async def count_prompt(work: LongWork, wallet_id: int, prompt: Prompt, reader: Reader) -> int:
    """Count a prompt by the published rules.

    Of a document only its size is known, so no more is counted than the model can read.
    """
    count = work.counts.of(wallet_id)
    if prompt.is_short:
        counted = prompt.count(count)
    else:
        counted = await work.count(wallet_id, prompt.count, count)
    return reader.within(counted, prompt)
