"""What waits in this process to be sent: repeats dropped, marks buffered, deferred ones resolved."""
