"""Pipes: the database, the queue, outgoing HTTP, the web's manners, logs and metrics.

They know no business.
"""
