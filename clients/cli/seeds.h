/*
 * Seeds as a user writes them: numbers and ranges, "1,2,5-8".
 */
#ifndef MODPROP_CLI_SEEDS_H
#define MODPROP_CLI_SEEDS_H

#include <jansson.h>

#include "clients/cli/status.h"

#define SEED_MAX ((1LL << 53) - 1)

/*
 * The ranges that `text` names, in its order, each {"from": first, "count": how many}, as an experiment takes them.
 * `option`: the name of the option that gave it, for the message; `most`: how many seeds it may name, repeats counted.
 * Complains. *ranges belongs to the caller, NULL unless STATUS_OK.
 */
enum status seeds_parse(const char *option, const char *text, long long most, json_t **ranges);

#endif
