"""What is thought about free text: what it is asked, what an answer must be, when to ask again and what it may cost."""
