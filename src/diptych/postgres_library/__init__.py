"""How both sides reach PostgreSQL: URLs, connections, what errors mean, who listens."""
