"""Filters that show money and credits: each is the function of the same name."""

from django import template

from billing.catalogue import worth
from common import money

register = template.Library()

for each in (
    money.credits,
    money.compact,
    money.percent,
    money.price,
    money.amount,
    money.per_million,
    money.fine_price,
    money.rate,
    money.millicredits,
    money.brief,
    money.per_million_tokens,
    worth.price_of_million_tokens,
    worth.tokens_for,
):
    register.filter(each)
