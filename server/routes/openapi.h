/*
 * The OpenAPI 3.1 document, made from the route table (routes.c), the parameter tables (api/parameters.c) and one line
 * per route here with what no table contains. A test compares the document with the table in both directions.
 */
#ifndef MODPROP_SERVER_OPENAPI_H
#define MODPROP_SERVER_OPENAPI_H

#include <jansson.h>

/* NULL if out of memory. */
json_t *openapi_document(void);

#endif
