import { AppError } from '../../errors.ts'

const MAX_LENGTH = 2048

/**
 * The address of a receiver. Whether it leads to a private network is found out at each attempt: a
 * name may lead elsewhere by then, and an answer here would tell which names exist inside.
 *
 * @throws AppError invalid_input.
 */
export function webhookAddress(given: string): string {
  const text = given.trim()
  if (text.length > MAX_LENGTH) throw wrongUrl(`must have at most ${MAX_LENGTH} characters`)
  if (!URL.canParse(text)) throw wrongUrl('must be an address like https://hooks.example/gateway')
  const url = new URL(text)
  if (url.protocol !== 'https:') throw wrongUrl('must begin with https://')
  if (url.username !== '' || url.password !== '') {
    throw wrongUrl('must not hold a user or password: the signature shows who sent it')
  }
  url.hash = ''
  return url.href
}

const wrongUrl = (rule: string) =>
  new AppError('invalid_input', `url ${rule}.`, { details: { field: 'url', fields: ['url'] } })
