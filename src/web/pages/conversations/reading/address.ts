/** The address of a conversation's page; with a message's id, of the part that ends with its turn. */
export const pathOf = (conversationId: string, messageId?: string): string => {
  const path = `/account/conversations/${conversationId}`
  return messageId === undefined ? path : `${path}?through=${messageId}#${anchorOf(messageId)}`
}

export const anchorOf = (messageId: string): string => `message-${messageId}`
