"""Pictures and pages: findings drawn, nothing computed."""
