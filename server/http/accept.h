/* Content negotiation (accept.c). Any thread; pure. */
#ifndef MODPROP_SERVER_ACCEPT_H
#define MODPROP_SERVER_ACCEPT_H

/*
 * The best of `types` (NULL-terminated) for an Accept header (NULL: the first), or NULL if none is acceptable. RFC
 * 9110, 12.5.1.
 */
const char *accept_choose(const char *accept, const char *const *types);

#endif
