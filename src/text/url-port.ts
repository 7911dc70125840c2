const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'https:': 443, 'http:': 80 }

/** The port of an http or https URL, also where it is left out; undefined for other schemes. */
export const portOf = ({ protocol, port }: URL): number | undefined =>
  port === '' ? DEFAULT_PORTS[protocol] : Number(port)
