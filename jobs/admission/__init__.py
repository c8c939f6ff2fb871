"""Who may send how much of its backlog: tokens for gateways that come back from an outage."""
