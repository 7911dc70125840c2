const TOKEN = /^invite_[\w-]{43}$/

/** The secret of an invitation, if the value has the shape of one. */
export const invitationOf = (value: unknown): string | undefined =>
  typeof value === 'string' && TOKEN.test(value) ? value : undefined
