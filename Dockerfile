# The gateway in one image: docker build -t claude-api-gateway .
# It writes to /data only, so it also runs with a read-only root file system.

FROM node:24-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY src ./src
COPY db/migrations ./db/migrations
RUN npm run build

FROM node:24-trixie-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-trixie-slim
ENV NODE_ENV=production HOST=0.0.0.0 DATA_DIR=/data
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY assets ./assets
COPY db/migrations ./db/migrations
COPY package.json ./
RUN install -d -o node -g node -m 0700 /data
VOLUME /data
USER node
EXPOSE 3000
STOPSIGNAL SIGTERM
# With node itself, over HTTPS when the gateway serves it; whose name the certificate bears is no matter.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "const web = require(process.env.TLS_CERT_FILE ? 'https' : 'http'); web.get({ host: '127.0.0.1', port: process.env.PORT || 3000, path: '/livez', rejectUnauthorized: false }, (res) => process.exit(res.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
# As npm start does: 16 MB for new objects, as Node.js had until 22. The 64 of Node.js 24 fill with
# garbage before any is collected: 100 MB and more under load.
CMD ["node", "--max-semi-space-size=16", "dist/main.js"]
