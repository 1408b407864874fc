/* `modpropd worker`: a process that trains jobs of a daemon elsewhere. See agent.h. */
#ifndef MODPROP_SERVER_WORKER_COMMAND_H
#define MODPROP_SERVER_WORKER_COMMAND_H

/* `modpropd worker --server URL --token-file FILE ...`; returns an exit status. */
int worker_command(int count, char **arguments, char **environment);

#endif
