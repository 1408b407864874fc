/*
 * Where the time of training iterations went: filled by the backend. Seconds; zero if there is no clock. No result
 * depends on them.
 */
#ifndef MODPROP_CORE_PHASES_H
#define MODPROP_CORE_PHASES_H

struct phases {
    double trials, forward, credit, gradient, optimizer;
};

/* Adds what one run took. */
static inline void phases_add(struct phases *to, const struct phases *from) {
    to->trials += from->trials;
    to->forward += from->forward;
    to->credit += from->credit;
    to->gradient += from->gradient;
    to->optimizer += from->optimizer;
}

#endif
