"""What GPUs did, for those who look: tenants their own, operators the fleet. From hourly read models; nothing here is billed."""
