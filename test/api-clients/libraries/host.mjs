/** Runs one deed of a library in the folder where it is installed, and prints what came of it as JSON. */

const [library, deed, options] = process.argv.slice(2)
const { open } = await import(`./${library}.mjs`)
const { client, args } = JSON.parse(options)
try {
  const value = await open(client)[deed](...args)
  console.log(JSON.stringify({ value }))
} catch (error) {
  console.log(JSON.stringify({ error: String(error?.message ?? error) }))
}
