"""What carries context, and what keeps it out: flows, scopes, snapshots, and the tools that say
explicitly what no boundary can know by itself."""
