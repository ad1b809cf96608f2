"""Security signals from elsewhere, and what they mean for the attributes that decisions rest on. Pure."""
