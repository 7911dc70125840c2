const SCHEMES = ['http:', 'https:', 'mailto:']

/**
 * The address that a link in a text may lead to, as the browser will read it.
 *
 * @returns undefined for any other scheme, for addresses of this site, and for those with a name
 *   before the host, which are made to be misread.
 */
export function linkTarget(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { protocol, username, password, href } = new URL(url)
  const isPlain = username === '' && password === ''
  return SCHEMES.includes(protocol) && isPlain ? href : undefined
}
