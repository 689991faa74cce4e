"""Records to messages: one file a kind, behind one seam."""
