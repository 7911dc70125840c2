/** Forms that arrive in two parts, with as much time between them as a test wants. */

import { request } from 'node:http'
import type { Browser } from '../support/browser.ts'
import { csrfTokenIn } from '../web/pages/visiting.ts'

export type Answered = { status: number; location: string | undefined; text: string }

const FIRST_BYTES = 10

/**
 * Sends the head of a form of the page that is open, and the first bytes of its body; returns when
 * the gateway has the head.
 *
 * @returns sends the rest.
 */
export async function beginForm(
  baseUrl: string,
  browser: Browser,
  path: string,
  fields: [string, string][],
): Promise<() => Promise<Answered>> {
  const csrf: [string, string] = ['csrf_token', csrfTokenIn(browser.page.html)]
  const body = new URLSearchParams([csrf, ...fields]).toString()
  const asked = request(new URL(path, baseUrl), {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': Buffer.byteLength(body),
      cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      origin: baseUrl,
      'sec-fetch-site': 'same-origin',
      // Answered as soon as the head has been read.
      expect: '100-continue',
    },
  })
  const answered = new Promise<Answered>((resolve, reject) => {
    asked.on('error', reject).on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        resolve({ status, location: headers.location, text })
      })
    })
  })
  answered.catch(() => {})
  await new Promise((resolve, reject) => {
    asked.on('continue', resolve).on('error', reject).flushHeaders()
  })
  asked.write(body.slice(0, FIRST_BYTES))
  return () => {
    asked.end(body.slice(FIRST_BYTES))
    return answered
  }
}
