"""Filters that show money and credits: each is the function in `common.money` of the same name."""

from django import template

from common import money

register = template.Library()

for each in (
    money.credits,
    money.compact,
    money.price,
    money.per_million,
    money.fine_price,
    money.rate,
    money.per_thousand,
    money.millicredits,
):
    register.filter(each)
