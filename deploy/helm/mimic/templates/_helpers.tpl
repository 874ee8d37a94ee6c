{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "mimic.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "mimic.fullname" -}}
{{- $name := include "mimic.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Names of objects that are no namespace's. Two releases in namespaces of their own do not share them. */}}
{{- define "mimic.clusterName" -}}
{{- $fullname := include "mimic.fullname" . }}
{{- if eq $fullname .Release.Namespace }}{{ $fullname }}{{ else }}{{ printf "%s-%s" .Release.Namespace $fullname }}{{ end }}
{{- end }}

{{- define "mimic.selectorLabels" -}}
app.kubernetes.io/name: {{ include "mimic.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mimic.labels" -}}
{{ include "mimic.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "mimic.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "mimic.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.create is false: serviceAccount.name must name one" .Values.serviceAccount.name }}
{{- end }}
{{- end }}
