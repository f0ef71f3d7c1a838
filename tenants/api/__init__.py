"""The REST API's doors to tenants, limits and keys, and the base that metering's doors stand on too."""
