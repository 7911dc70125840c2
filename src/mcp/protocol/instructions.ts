/** Instructions sent to a client when it connects, for its model. */
export const INSTRUCTIONS = [
  'A gateway to Claude that keeps conversations.',
  'A client that connected by OAuth, or sends a token as a bearer header, is signed in: leave out access_token.',
  'Otherwise new users call register_user once, then authenticate_user, and pass its token as access_token.',
  'send_message answers with a conversation_id: pass it again to continue.',
  'Tools that the connection or token in use does not allow are not listed: connect again to allow more.',
  'Errors say in error.retryable and error.retry_after_seconds whether to try again.',
].join(' ')
