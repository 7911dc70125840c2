/** Explains to the operator why the gateway cannot listen on HOST and PORT. */

const ADVICE: Partial<Record<string, string>> = {
  EADDRINUSE: 'Another program uses this port; set PORT.',
  EACCES: 'This user may not listen on this port; set PORT to one from 1024 up.',
  EADDRNOTAVAIL:
    'This machine has no such address; set HOST to one that it has, to 127.0.0.1 for itself alone, or to 0.0.0.0 for all.',
  EAFNOSUPPORT: 'This machine has no IPv6; set HOST to an address like 127.0.0.1 or 0.0.0.0.',
  ENOTFOUND:
    'No machine is known by this name; set HOST to an address of this one, like 127.0.0.1 or 0.0.0.0.',
  EAI_AGAIN:
    'This name cannot be looked up now; set HOST to an address, like 127.0.0.1 or 0.0.0.0.',
}

/** @returns Node's message, followed by the setting to change where one is known. */
export function listenProblem(error: NodeJS.ErrnoException): Error {
  const advice = ADVICE[error.code ?? '']
  return advice === undefined ? error : new Error(`${error.message}. ${advice}`, { cause: error })
}
