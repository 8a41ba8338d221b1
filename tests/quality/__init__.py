"""What other people's programs say of our pages: axe of every one, Lighthouse of the first ones.

`make page-check` runs axe, `make lighthouse` the other; both are Node's packages, installed under
`var/quality` as `package-lock.json` pins them.
"""
