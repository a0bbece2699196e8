"""Process of incidents: what may page somebody, or stop it, becomes pages and cases."""
