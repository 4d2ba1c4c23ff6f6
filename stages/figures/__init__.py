"""Charts, contact sheets and the page of the report."""
