"""What a tenant's programs need: API keys, and webhooks that tell them."""
