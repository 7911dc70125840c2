import { hidden } from '../../../kit/form.ts'
import { type Html, html } from '../../../kit/html.ts'
import { messageKey } from '../sending/message-key.ts'

type Around = { path: string; csrfField: Html }

/** Makes a copy that ends with this answer. */
export const goOnFrom = (answerId: string, { path, csrfField }: Around): Html => html`<form
 class="inline" method="post" action="${path}/branch">${csrfField}${hidden('message_id', answerId)}
<button class="plain start">Continue from here in a copy</button></form>`

/** Sends the newest message otherwise, or has Claude answer again: both in a copy. */
export const editing = ({ id }: { id: string }, { path, csrfField }: Around): Html => html`<div
 class="actions"><a href="${`${path}/edit/${id}`}">Edit</a>
<form class="inline" method="post" action="${path}/again">${csrfField}${messageKey()}${hidden('message_id', id)}
<button class="plain">Answer again</button></form></div>`
