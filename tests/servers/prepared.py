"""What forked programs find ready besides imports: the rules of the order service are told from its
source once, which takes longer than most commands.
"""

from examples.orders.app import shop

SHOP = shop("memory://", "sqlite://")
