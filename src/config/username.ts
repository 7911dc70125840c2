/** Case is kept, but usernames are compared without it. */
export const USERNAME_PATTERN = /^[A-Za-z0-9._-]{3,64}$/
export const USERNAME_RULE = 'must be 3 to 64 characters out of A-Z a-z 0-9 . _ -'
