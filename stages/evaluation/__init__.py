"""How well a network answers, on whom, and how sure that is."""
