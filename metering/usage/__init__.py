"""Read models of usage and quotas, out of the hourly rollups. They change nothing and know no price."""
