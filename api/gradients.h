/*
 * POST /v1/gradients: takes a network, a batch and rules; returns each rule's gradients and their cosine with bptt's.
 * Bounds are checked from the shapes of the lists before any memory is allocated.
 */
#ifndef MODPROP_API_GRADIENTS_H
#define MODPROP_API_GRADIENTS_H

#include <jansson.h>

#include "api/problem.h"
#include "api/writer.h"
#include "core/train/gradients.h"

#define GRADIENTS_RULES_MAX 64
#define GRADIENTS_WORK_MAX 4e11 /* multiply-adds of all rules together */

struct gradients_request {
    struct gradients_problem problem; /* its arrays are in `memory` */
    struct rule_config rules[GRADIENTS_RULES_MAX];
    json_t *received[GRADIENTS_RULES_MAX]; /* the rule objects as received */
    int rule_count;
    bool bias; /* false: the network has no bias; its gradient is then the one that a bias of 0 would get, and is not
                * part of "all" */
    void *memory[16];
    int memory_count;
};

/* Decodes and checks; call the release function in any case. */
void gradients_request_decode(struct gradients_request *request, const json_t *document, struct problems *problems);
void gradients_request_release(struct gradients_request *request);

/* Arrays of the weights' shapes. False if out of memory. */
bool gradients_create(const struct gradients_problem *problem, struct gradients *gradients);
void gradients_release(struct gradients *gradients);

/* The response: begin, one call per rule, end. `bptt` are the true gradients. */
void gradients_write_begin(struct writer *writer, double loss);
void gradients_write_rule(struct writer *writer, const struct gradients_request *request, int index,
                          const struct gradients *gradients, const struct gradients *bptt);
void gradients_write_end(struct writer *writer);

#endif
