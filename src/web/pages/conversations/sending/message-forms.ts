/** Where forms with a message are sent, which may be as large as one of send_message. */
export const MESSAGE_FORMS = [
  '/account/conversations/new',
  '/account/conversations/:id/messages',
  '/account/conversations/:id/edit/:messageId',
] as const
