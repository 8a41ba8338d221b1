"""Fields beyond OpenAI's specification: those that providers are known to take, and those that no
provider gets.

The first are a provider's default list, which staff edit. The second would choose where a request
goes and as whom, cost what no hold covers, run code, or reach what belongs to other customers.
"""

from __future__ import annotations

import re

from proxy.errors import InvalidRule

# Sampling, thinking, caching of the own prompt, and what an assistant's message carries back.
DEFAULT_EXTRAS = (
    "cache_control",
    "chat_template_kwargs",
    "enable_thinking",
    "extra_content",
    "include_reasoning",
    "input_type",
    "min_p",
    "min_tokens",
    "parse_reasoning",
    "partial",
    "prefix",
    "prompt_mode",
    "random_seed",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "reasoning_format",
    "reasoning_split",
    "repetition_penalty",
    "safe_prompt",
    "stop_token_ids",
    "thinking",
    "thinking_blocks",
    "thinking_budget",
    "top_a",
    "top_k",
    "typical_p",
)

# Extras whose other fields could write a prompt of any length (vLLM's template may be one of its
# own arguments) or choose a dearer cache.
LIMITED_EXTRAS = {
    "cache_control": frozenset({"type"}),
    "chat_template_kwargs": frozenset(
        {"enable_thinking", "reasoning_effort", "thinking", "thinking_budget", "thinking_mode"}
    ),
}

# By what they would do. Anything else that is unknown is left out, so a name is here only for the
# client's sake, who learns at once that it can't have any effect.
_STEERING = """
    allowed_openai_params api_base api_key api_type api_version azure_endpoint base_url
    bootstrap_host bootstrap_port bootstrap_room callbacks client_id client_secret config
    context_window_fallback_dict cooldown_time credentials custom_llm_provider
    custom_prompt_dict data_parallel_rank default_headers default_query deployment_id
    disable_fallbacks drop_params endpoint endpoint_url extra_body extra_headers extra_query
    fallback_models fallbacks guardrail_config guardrails headers host inference_geo lora
    lora_path lora_request max_retries mock_delay mock_response mock_timeout
    mock_tool_calls model_info model_list models num_retries organization organization_id plugins
    preset project project_id prompt_id prompt_label prompt_variables prompt_version provider
    proxy proxy_server_request region region_name requester_metadata retry_strategy route router
    router_settings secret_fields speed stream_timeout target targets tenant_id timeout token
    user_api_key user_config virtual_key webhook webhook_url
"""
_COSTLY = """
    beam_width best_of code_execution code_interpreter compound_custom connectors container
    enable_code_interpreter enable_search input_cost_per_token live_search mcp mcp_servers
    num_beams output_cost_per_token prompt_logprobs search search_mode search_options
    search_parameters search_settings use_beam_search web_search web_search_options
"""
_RUNNING = """
    chat_template custom_logit_processor custom_params documents ebnf grammar guided_choice
    guided_decoding_backend guided_grammar guided_json guided_regex guided_whitespace_pattern
    json_schema logits_processors media_io_kwargs mm_processor_kwargs regex structural_tag
    structured_outputs vllm_xargs
"""
_SHARED = """
    cache cache_id cache_prompt cached_content cachedContent caching context_cache
    context_management id_slot kv_transfer_params priority request_id rid scheduling_policy
    session_params slot_id
"""
NEVER_PASS = frozenset(f"{_STEERING} {_COSTLY} {_RUNNING} {_SHARED}".split())
NEVER_PASS_PREFIXES = (
    "aws_",
    "azure_",
    "bedrock_",
    "databricks_",
    "gcs_",
    "google_",
    "langfuse_",
    "litellm_",
    "oci_",
    "s3_",
    "sagemaker_",
    "vertex_",
    "watsonx_",
)

MAX_EXTRAS = 200
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def never_passes(name: str) -> bool:
    """Tell whether no provider may be sent a field of this name."""
    return name in NEVER_PASS or name.startswith(NEVER_PASS_PREFIXES)


def check_extras(names: object) -> frozenset[str]:
    """Return the extras that staff listed for a provider. Raises InvalidRule."""
    if not isinstance(names, list) or len(names) > MAX_EXTRAS:
        raise InvalidRule(f"Write a JSON list of at most {MAX_EXTRAS} names.")
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidRule("A field's name has letters, digits, hyphens and underscores.")
        if never_passes(name):
            raise InvalidRule(f"'{name}' never passes: it would steer the request or add to it.")
    return frozenset(names)
