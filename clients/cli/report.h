/*
 * Errors, on standard error: one sentence each, as a person wants it; with --json a problem document, as a script does.
 */
#ifndef MODPROP_CLI_REPORT_H
#define MODPROP_CLI_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "clients/cli/status.h"

/* How errors are shown from now on. Before this call: as plain sentences. */
void report_begin(bool json, bool colour);

/* "modprop: sentence". Returns `status`, so that a caller can leave with it. */
enum status report_error(enum status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A remark that changes no status; silent with --json. */
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * What the server refused: `doing` names the attempt ("submit the job"). `body` is its problem document; a body that is
 * none is shown by its first line. Returns STATUS_REFUSED.
 */
enum status report_problem(const char *doing, int status, const char *body);

#endif
