"""The console: one live page of what flows, lags, fires and costs, followed from Kafka without a consumer group.

Reading order: serving (the wiring), view (what is known), shown (what of it may be seen), server (the pages).
"""
